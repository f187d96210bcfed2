"""What runs in a worker process: training, checkpoints, a device's memory, ranks. Knows neither methods nor the store."""
