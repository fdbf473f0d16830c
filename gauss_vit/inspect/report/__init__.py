"""A report on a model as one HTML page.

`contents` gathers what is shown: `layer_fields` measures the receptive fields of all patches after every layer and
`reduced_fields` keeps what the page needs of them; `layers` reads position biases, `images` attention and predictions,
`curves` the metrics of the run; `notes` says how the maps were made. `page` renders it all with `page.html`, `page.css`
and the scripts: `packing.js` is the other end of the arrays that `packing` writes, `state.js` keeps the view in the
address, `maps.js` computes the three maps, `charts.js` draws lines, `panels.js` draws the panels, `saving.js` saves
them, and `page.js` builds the page and listens.
"""
