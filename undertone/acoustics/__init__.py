"""Sound to samples, frames and features, streaming and offline through one code path. No Kafka, no TensorFlow."""
