"""What runs in a worker process: training, checkpoints, memory, ranks. Knows neither methods nor the store."""
