"""Places where bytes lie: local folders, S3 prefixes and sealed archives, for the store, checkpoints, data and weights.

Knows names and bytes, not studies. Imports boto3 only where an s3:// address is opened.
"""
