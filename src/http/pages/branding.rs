//! The branding of the pages: a name, a colour, and the static files.

use poem::Route;

use crate::{
    domain::color::{Color, PAPER},
    http::static_file,
    services::keys::published::ETagged,
};

const STYLE: &str = include_str!("style.css");
const ICON: &str = include_str!("icon.svg");
/// Submits the form that takes a code to its client.
const SUBMIT: &str = include_str!("submit.js");

/// The paths of the files.
pub(in crate::http) const FILES: [&str; 5] =
    ["/assets/style.css", "/assets/icon.svg", "/assets/submit.js", "/favicon.ico", "/robots.txt"];

/// No page here is of use in a search engine.
const ROBOTS: &str = "User-agent: *\nDisallow: /\n";

/// The name and colour that an operator chose, and the files that follow from them.
#[derive(Debug, Clone)]
pub(in crate::http) struct Branding {
    /// The name of the service on the pages.
    pub(in crate::http) name: String,
    /// Where the style sheet is. Its address changes with it, so that a new version is never shown in an old style.
    pub(in crate::http) stylesheet: String,
    /// Where the icon is.
    pub(in crate::http) icon: String,
    /// Where the script is that sends a form by itself.
    pub(in crate::http) submit: String,
    style: String,
    drawing: String,
}

impl Branding {
    /// The branding of a service called `name`, with one accent `color`.
    pub(in crate::http) fn new(name: String, color: Color) -> Self {
        let [by_day, by_night] = PAPER.map(|paper| color.readable_on(paper));
        let style = format!(
            ":root {{ --accent: {color}; --on-accent: {}; --accent-by-day: {by_day}; --accent-by-night: {by_night}; }}\n\n\
             {STYLE}",
            color.ink()
        );
        // By a browser's tab as by a page, the icon may stand on anything: it is drawn in the colour itself.
        let drawing = ICON.replace("ACCENT", &color.to_string()).replace("INK", &color.ink().to_string());
        let address = |path: &str, text: &str| {
            let etag = ETagged::of(text.to_owned()).etag;
            format!("{path}?v={}", etag.trim_matches('"'))
        };
        Self {
            name,
            stylesheet: address(FILES[0], &style),
            icon: address(FILES[1], &drawing),
            submit: address(FILES[2], SUBMIT),
            style,
            drawing,
        }
    }

    /// The files, at their paths.
    pub(in crate::http) fn files(&self, routes: Route) -> Route {
        routes
            .at(FILES[0], static_file::file("text/css; charset=utf-8", None, self.style.clone()))
            .at(FILES[1], static_file::file("image/svg+xml", None, self.drawing.clone()))
            .at(FILES[2], static_file::file("text/javascript; charset=utf-8", None, SUBMIT.to_owned()))
            .at(FILES[3], static_file::file("image/svg+xml", None, self.drawing.clone()))
            .at(FILES[4], static_file::file("text/plain; charset=utf-8", None, ROBOTS.to_owned()))
    }
}
