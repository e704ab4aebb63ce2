"""How Sphinx makes the site; `make docs` writes the generated pages first."""

project = "Holdfast"
author = "The authors of Holdfast"
project_copyright = ""
extensions = ["myst_parser"]
smartquotes_action = "qe"  # quotes and dots, no dashes: --on stays an option
source_suffix = {".md": "markdown"}
exclude_patterns = ["extra"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "Holdfast"
html_static_path = ["_static"]
html_extra_path = ["extra"]
html_css_files = ["holdfast.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
pygments_style = "tango"
pygments_dark_style = "github-dark"
highlight_language = "text"
html_theme_options = {
    "sidebar_hide_name": False,
    "light_css_variables": {
        "color-brand-primary": "#0b6a8f",
        "color-brand-content": "#0b6a8f",
        "color-brand-visited": "#0b6a8f",
        "font-stack": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
        "font-stack--monospace": "ui-monospace, 'SF Mono', Menlo, Consolas, monospace",
    },
    "dark_css_variables": {
        "color-brand-primary": "#62bfe0",
        "color-brand-content": "#62bfe0",
        "color-brand-visited": "#62bfe0",
    },
}
