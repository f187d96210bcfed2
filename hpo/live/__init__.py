"""One sitting at a study on a cluster: session, dispatch, progress, monitor. Only `tune` may import ray.tune."""
