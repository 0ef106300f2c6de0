//! Emails: their text, and the SMTP server or folder that takes them.

mod error;
mod folder;
pub mod mailer;
pub mod message;
mod one_line;
mod smtp;
