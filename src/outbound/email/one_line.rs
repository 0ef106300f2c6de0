//! A connection that is read line by line, so that nothing sent before TLS is taken for something sent within TLS.

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

/// The most bytes read from a server over one connection; a reply has some hundred.
const MOST: usize = 1024 * 1024;

/// A TCP connection whose reads each return one line at most, and [`MOST`] bytes in total.
///
/// lettre reads replies through a buffer, which it keeps when STARTTLS turns the connection into a TLS one. An attacker
/// on the path could append forged replies to the answer to STARTTLS, and lettre would take them for the server's own.
/// Read line by line, the buffer is empty at that moment, and forged bytes meet the TLS handshake, which fails. The
/// bound also keeps a line without an end from filling the memory.
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
        // The peeked bytes are there, so this read neither waits nor returns fewer.
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
