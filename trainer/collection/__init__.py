"""What people say that calls sound like, kept with its sound before Kafka forgets it."""
