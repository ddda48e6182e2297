"""Builds the documentation, without network: nothing is fetched, and every example is run."""

from importlib.metadata import version as version_of

project = "twonn"
author = "The twonn developers"
copyright = "2026, the twonn developers"
release = version = version_of("twonn")

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples/*", "gallery/*.ipynb", "**/sg_execution_times.rst"]
templates_path = ["_templates"]
default_role = "autolink"

html_theme = "furo"
html_title = f"twonn {version}"

# Notebooks are Markdown whose cells run at every build; a cell that fails, fails the build.
myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120

# What __all__ names is public, wherever it is defined.
autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # numpydoc sections have the types
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "capture_repr": (),
    "show_memory": False,
    "min_reported_time": 3600,  # times are the machine's, not the example's
    "remove_config_comments": True,
}


def _bars_are_absolute_values(app, what, name, obj, options, lines):
    """In docstrings |v| is the size of v, never a substitution."""
    lines[:] = [line if "``" in line else line.replace("|", r"\|") for line in lines]


def setup(app):
    """Called by Sphinx; after numpydoc, which has the priority 500."""
    app.connect("autodoc-process-docstring", _bars_are_absolute_values, priority=600)
