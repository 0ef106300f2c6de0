//! A connection that is read line by line: what comes before TLS must not be taken for what comes within it.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The most that is read of a server over one connection: a reply is some hundred bytes.
const MOST: usize = 1024 * 1024;

/// A TCP connection of which no read gives more than one line, nor all of them more than [`MOST`].
///
/// The mail library reads replies through a buffer, which it keeps when STARTTLS turns the connection into a TLS one.
/// Somebody between could put forged replies behind the answer to STARTTLS, and they would be taken for the server's
/// own. Read by lines, the buffer is empty at that moment, and whatever was forged meets the TLS handshake, which
/// fails. A line without an end would grow that buffer without bound.
#[derive(Debug)]
pub(in crate::outbound) struct OneLine {
    stream: TcpStream,
    read: usize,
}

impl OneLine {
    pub(in crate::outbound) fn new(stream: TcpStream) -> Self {
        Self { stream, read: 0 }
    }
}

impl AsyncTokioStream for OneLine {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for OneLine {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; 2048];
        let room = buffer.remaining().min(bytes.len());
        let mut seen = ReadBuf::new(&mut bytes[..room]);
        let count = ready!(self.stream.poll_peek(context, &mut seen))?;
        let line = seen.filled().iter().position(|&byte| byte == b'\n').map_or(count, |end| end + 1);
        self.read += line;
        if self.read > MOST {
            return Poll::Ready(Err(io::Error::other("the server says too much")));
        }
        let mut taken = ReadBuf::new(&mut bytes[..line]);
        // What was seen is there: this does not wait, and gives no less.
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut taken))?;
        buffer.put_slice(taken.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for OneLine {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
