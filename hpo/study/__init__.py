"""What is searched, with what and under which budget: the study file, its space and its values. Reads files only."""
