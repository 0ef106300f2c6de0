//! All that we call: the mail server, or the folder that stands for it, identity providers, and clients that want to hear
//! of log-outs.
//!
//! Every call has a deadline, and what the other side says is never trusted: it is not logged, and bounded in length.
//! What is sent, and when again, is the flows' business.

pub mod backchannel;
pub mod email;
pub mod provider;
