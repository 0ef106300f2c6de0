//! The services and configuration that the pages share.

use std::sync::Arc;

use poem::Request;

use super::{branding::Branding, provider_button::Button};
use crate::{
    domain::session::Session,
    http::extract::cookies::{Cookies, SESSION},
    services::{
        Unavailable,
        accounts::{
            account::Account, change_password::ChangePassword, register::Register, request_reset::RequestReset,
            reset_password::ResetPassword, verify_email::VerifyEmail,
        },
        authorization::{authorize::Authorize, consents::Consents},
        csrf::Csrf,
        federation::{Federate, identities::Identities},
        sessions::{browser::BrowserSessions, list::Sessions, login::LogIn, logout::LogOut},
    },
};

/// The services and configuration of the pages.
#[derive(Debug, Clone)]
pub(in crate::http) struct Pages {
    /// How they look.
    pub(in crate::http) branding: Branding,
    /// How cookies are set.
    pub(in crate::http) cookies: Cookies,
    /// The origin of every page.
    pub(in crate::http) issuer: String,
    /// Makes and checks the codes of forms.
    pub(in crate::http) csrf: Csrf,
    /// Answers clients' requests.
    pub(in crate::http) authorize: Authorize,
    /// Knows who is logged in.
    pub(in crate::http) browser_sessions: BrowserSessions,
    /// Logs people in.
    pub(in crate::http) log_in: LogIn,
    /// Logs them out.
    pub(in crate::http) log_out: LogOut,
    /// People's own accounts.
    pub(in crate::http) account: Account,
    /// Changes passwords.
    pub(in crate::http) change_password: ChangePassword,
    /// Where people are logged in.
    pub(in crate::http) sessions: Sessions,
    /// The consents of people.
    pub(in crate::http) consents: Consents,
    /// Makes accounts.
    pub(in crate::http) register: Register,
    /// Logs people in with other providers.
    pub(in crate::http) federate: Federate,
    /// Those, as buttons.
    pub(in crate::http) providers: Arc<[Button]>,
    /// Shows and takes away links to them.
    pub(in crate::http) identities: Identities,
    /// Asks for a link to choose a new password.
    pub(in crate::http) request_reset: RequestReset,
    /// Chooses it.
    pub(in crate::http) reset_password: ResetPassword,
    /// Proves an address.
    pub(in crate::http) verify_email: VerifyEmail,
}

impl Pages {
    /// The user who is logged in in this browser.
    ///
    /// # Errors
    /// [`Unavailable`] where the database cannot tell.
    pub(in crate::http) async fn session(&self, request: &Request) -> Result<Option<Session>, Unavailable> {
        self.browser_sessions.find(self.cookies.find(request, SESSION).as_deref()).await
    }

    /// The same for a logout, which must get through while other requests hold all of their connections.
    ///
    /// # Errors
    /// [`Unavailable`] where the database cannot tell.
    pub(in crate::http) async fn session_to_end(&self, request: &Request) -> Result<Option<Session>, Unavailable> {
        self.log_out.browser_sessions.find(self.cookies.find(request, SESSION).as_deref()).await
    }
}
