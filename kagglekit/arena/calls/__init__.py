"""Kaggle's API calls as the arena answers them: a module for each service, a function for each call.

A call takes the desk and the fields of the request. Names of fields are those of the public client (`kagglesdk`).
"""
