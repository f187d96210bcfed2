"""The routes, one file a group, each with `router(context)`. They turn requests into calls and answers; nothing else."""
