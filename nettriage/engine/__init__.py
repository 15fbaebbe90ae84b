"""The engine: the pipeline on packet time, and the sensor process around it."""
