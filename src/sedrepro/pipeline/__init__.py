"""What drives Snakemake: what is to be made, what a job does around its work, who is at work."""
