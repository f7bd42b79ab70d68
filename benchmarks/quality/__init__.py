"""The parts of benchmarks/quality.py: problems, the peers' loops, the runs, their statistics and their report."""
