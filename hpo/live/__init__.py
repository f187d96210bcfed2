"""One sitting at a study on a cluster: session, dispatch, progress, monitoring. Ray Tune stays in `tune`."""
