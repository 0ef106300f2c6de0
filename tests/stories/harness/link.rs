//! A network link between a service and its database that a story can cut.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A relay to a TCP port of this machine. Cut, it passes nothing on and says nothing: that is how a network fails, and
/// harder to tell than a connection that is refused. Mended, it passes on what has come meanwhile.
#[derive(Debug)]
pub(crate) struct Link {
    port: u16,
    whole: watch::Sender<bool>,
    /// Grows with each hang-up.
    hang_ups: watch::Sender<u64>,
}

impl Link {
    /// A link to the server of `url`.
    pub(crate) async fn to(url: &str) -> Self {
        let target = url::Url::parse(url).ok().and_then(|url| url.port()).expect("a URL with a port");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (whole, seen) = watch::channel(true);
        let (hang_ups, hung_up) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                // Clones of a receiver have seen what it has: nothing.
                let mut hung_up = hung_up.clone();
                hung_up.mark_unchanged();
                tokio::spawn(relay(near, target, seen.clone(), hung_up));
            }
        });
        Self { port, whole, hang_ups }
    }

    /// `url` with the host and port of this link.
    pub(crate) fn through(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).expect("a URL");
        url.set_port(Some(self.port)).expect("it has a host");
        url.into()
    }

    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Closes all its connections, in both directions. New ones are passed on.
    pub(crate) fn hang_up(&self) {
        self.hang_ups.send_modify(|count| *count += 1);
    }

    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn relay(near: TcpStream, target: u16, seen: watch::Receiver<bool>, mut hung_up: watch::Receiver<u64>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await else { return };
    let (near, far) = (near.into_split(), far.into_split());
    // When one side hangs up, so does the other.
    tokio::select! {
        end = pass(near.0, far.1, seen.clone()) => end.ok(),
        end = pass(far.0, near.1, seen) => end.ok(),
        _ = hung_up.changed() => None,
    };
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut seen: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut bytes).await?;
        if count == 0 || seen.wait_for(|whole| *whole).await.is_err() {
            return Ok(());
        }
        to.write_all(&bytes[..count]).await?;
    }
}
