//! A client of HTTP/1.1 that costs almost nothing: the load shares two processors with what it measures.

use anyhow::{Context as _, Result};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::http1::{find, read_message};

/// A connection that stays open for many requests.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// The payment's id, if the body names one.
    pub(super) payment: Option<u128>,
    /// Whether it says that the payment succeeded.
    pub(super) succeeded: bool,
}

impl Connection {
    pub(super) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a whole request and reads the whole answer.
    pub(super) async fn call(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (_, end) =
            read_message(&mut self.stream, &mut self.buffer).await?.context("the gateway closed the connection")?;
        let message = &self.buffer[..end];
        let status = std::str::from_utf8(message.get(9..12).context("no status")?)?.parse()?;
        Ok(Answer {
            status,
            payment: payment_id(message),
            succeeded: find(message, b"\"status\":\"SUCCESS\"").is_some(),
        })
    }

    /// The latest answer, for a person.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.buffer).chars().take(1000).collect()
    }
}

/// The id of the payment that a text names first.
pub(super) fn payment_id(text: &[u8]) -> Option<u128> {
    let at = find(text, b"\"pay_")? + 5;
    let digits = std::str::from_utf8(text.get(at..at + 32)?).ok()?;
    u128::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_understood() {
        let body = br#"{"id":"pay_000000000000000000000000000000ff","status":"SUCCESS"}"#;
        assert_eq!(payment_id(body), Some(255));
        assert_eq!(payment_id(b"{}"), None);
    }
}
