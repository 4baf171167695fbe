"""From features to events: the model bundle, the TFLite runtime, and the engine. No Kafka, no TensorFlow."""
