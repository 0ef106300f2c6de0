//! How the pages look: a name, a colour, and the two files that make the rest of it.

use poem::Route;

use crate::{
    domain::color::{Color, PAPER},
    flow::published_keys::Tagged,
    http::docs,
};

const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");

/// The paths of the files.
pub(in crate::http) const FILES: [&str; 2] = ["/assets/style.css", "/assets/icon.svg"];

/// What an operator may choose of the pages, and what follows from it.
#[derive(Debug, Clone)]
pub(in crate::http) struct Look {
    /// What the pages call the service.
    pub(super) name: String,
    /// Where the style sheet is. Its address changes with it, so that a new version is never shown in an old style.
    pub(super) stylesheet: String,
    /// Where the icon is.
    pub(super) icon: String,
    style: String,
    drawing: String,
}

impl Look {
    /// The look of a service that calls itself `name`, with one `color` for what is pressed and what stands out.
    pub(in crate::http) fn new(name: String, color: Color) -> Self {
        let [by_day, by_night] = PAPER.map(|paper| color.readable_on(paper));
        let style = format!(
            ":root {{ --accent: {color}; --on-accent: {}; --accent-by-day: {by_day}; --accent-by-night: {by_night}; }}\n\n\
             {STYLE}",
            color.ink()
        );
        // By a browser's tab as by a page, the icon may stand on anything: it is drawn in the colour itself.
        let drawing = ICON.replace("ACCENT", &color.to_string()).replace("INK", &color.ink().to_string());
        let [stylesheet, icon] = [(FILES[0], &style), (FILES[1], &drawing)].map(|(path, text)| {
            let etag = Tagged::of(text.clone()).etag;
            format!("{path}?v={}", etag.trim_matches('"'))
        });
        Self { name, stylesheet, icon, style, drawing }
    }

    /// The files, at their paths.
    pub(super) fn files(&self, routes: Route) -> Route {
        routes
            .at(FILES[0], docs::file("text/css; charset=utf-8", self.style.clone()))
            .at(FILES[1], docs::file("image/svg+xml", self.drawing.clone()))
    }
}
