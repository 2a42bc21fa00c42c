"""Pictures of a genealogy: DOT, SVG and PNG by Graphviz, and one HTML file that folds and zooms."""
