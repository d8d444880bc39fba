"""Files for the benchmarks' servers."""
