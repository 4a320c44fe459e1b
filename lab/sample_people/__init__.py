"""The parts of `scripts/make_sample_people.py`: learn faces, draw people, choose twelve, paint scenes, write, check."""
