"""What compute resources have in common: what can be chosen, what a cluster gets by default, what a policy allows."""
