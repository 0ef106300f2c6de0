//! Emails: their text, and their delivery to an SMTP server or a folder.

mod error;
pub mod folder;
pub mod mailer;
pub mod message;
mod one_line;
mod smtp;
