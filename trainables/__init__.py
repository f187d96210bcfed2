"""What an epoch is: PyTorch fine-tuning and other trainables. No ray anywhere in this package."""
