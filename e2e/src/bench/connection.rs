//! A client of HTTP/1.1 that costs almost nothing: the load shares two processors with what it measures.

use anyhow::{Context as _, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Longer than any head or answer that is expected here.
const ANSWER_MAX: usize = 64 * 1024;

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
        let end =
            read_message(&mut self.stream, &mut self.buffer).await?.context("the gateway closed the connection")?;
        let message = &self.buffer[..end];
        let status = std::str::from_utf8(message.get(9..12).context("no status")?)?.parse()?;
        Ok(Answer {
            status,
            payment: payment_id(message),
            succeeded: find(message, b"\"status\":\"SUCCESS\"").is_some(),
        })
    }
}

impl Connection {
    /// The latest answer, for a person.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.buffer).chars().take(1000).collect()
    }
}

/// Reads until the buffer begins with a whole message: where it ends. Nothing when the other side has closed.
pub(super) async fn read_message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Option<usize>> {
    loop {
        if let Some(head) = find(buffer, b"\r\n\r\n") {
            let end = head + 4 + content_length(&buffer[..head])?;
            if buffer.len() >= end {
                return Ok(Some(end));
            }
        }
        ensure!(buffer.len() < ANSWER_MAX, "a message of more than {ANSWER_MAX} bytes");
        if stream.read_buf(buffer).await? == 0 {
            if buffer.is_empty() {
                return Ok(None);
            }
            bail!("the connection ended within a message");
        }
    }
}

fn content_length(head: &[u8]) -> Result<usize> {
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        if line[..colon].eq_ignore_ascii_case(b"content-length") {
            return Ok(std::str::from_utf8(&line[colon + 1..])?.trim().parse()?);
        }
    }
    // 204 has none.
    Ok(0)
}

/// The id of the payment that a text names first.
pub(super) fn payment_id(text: &[u8]) -> Option<u128> {
    let at = find(text, b"\"pay_")? + 5;
    let digits = std::str::from_utf8(text.get(at..at + 32)?).ok()?;
    u128::from_str_radix(digits, 16).ok()
}

pub(super) fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let first = what.first()?;
    let mut from = 0;
    while let Some(at) = text.get(from..)?.iter().position(|byte| byte == first) {
        if text[from + at..].starts_with(what) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_understood() {
        let body = br#"{"id":"pay_000000000000000000000000000000ff","status":"SUCCESS"}"#;
        assert_eq!(payment_id(body), Some(255));
        assert_eq!(content_length(b"HTTP/1.1 201 Created\r\nContent-Length: 17").unwrap(), 17);
        assert_eq!(find(b"a\r\nb\r\n\r\nc", b"\r\n\r\n"), Some(4));
        assert_eq!(find(b"abc", b"abcd"), None);
    }
}
