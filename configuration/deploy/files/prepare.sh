#!/bin/bash
# Runs on each machine of the job's cluster before Spark starts.
set -eu
echo "prepared $(hostname) for the streaming job"
