"""A report on a model as one HTML page.

`contents` gathers what is shown: `layer_fields` measures the receptive fields of all patches after every layer and
`reduced_fields` keeps what the page needs of them; `layers` reads position biases, `images` attention; `notes` says how
the maps were made. `page` renders it all with `page.html`, `page.css` and `page.js`; `packing` and `packing.js` are the
two ends of its arrays.
"""
