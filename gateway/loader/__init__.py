"""Finds the plugins, asks them once what they bring, and keeps a bad one from harming the others."""

from gateway.loader.candidates import PluginRecord
from gateway.loader.kinds import factory_path
from gateway.loader.plugins import Plugins

__all__ = ["PluginRecord", "Plugins", "factory_path"]
