"""What a study's tables say: comparison, verdict, importance, refinement, audit. Pure: reads StudyData, no I/O, no clock."""
