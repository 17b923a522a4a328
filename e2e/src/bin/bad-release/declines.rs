//! A proxy on the way to the provider, in which some charges become charges to a card that declines. The provider is asked, and
//! says no: what comes of it is a payment that failed, and nothing that was charged.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::pass;

/// Test cards of Stripe.
const PAYS: &str = "payment_method=pm_card_visa&";
const DECLINES: &str = "payment_method=pm_card_chargeDeclined&";
const LENGTH: &str = "content-length:";

/// Passes on what it is asked for, as the proxies of HTTP do, and has every so many-th charge decline.
pub(super) fn proxy(listen: &str, every: u64) -> Result<()> {
    let charges = Arc::new(AtomicU64::new(0));
    for client in TcpListener::bind(listen)?.incoming() {
        let (Ok(client), charges) = (client, Arc::clone(&charges)) else { continue };
        thread::spawn(move || serve(client, &|| charges.fetch_add(1, Ordering::Relaxed) % every == every - 1));
    }
    Ok(())
}

/// The requests of one connection. A client keeps it for one server.
fn serve(client: TcpStream, is_bad: &dyn Fn() -> bool) -> Result<()> {
    let mut requests = BufReader::new(client.try_clone()?);
    let Some(first) = Request::read(&mut requests)? else { return Ok(()) };
    let mut server = TcpStream::connect(first.server()?)?;
    // Nothing but the answers is to differ.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let answers = server.try_clone()?;
    thread::spawn(move || pass(answers, client, Duration::ZERO));
    let mut next = Some(first);
    while let Some(mut request) = next {
        if request.body.contains(PAYS) && is_bad() {
            request.body = request.body.replacen(PAYS, DECLINES, 1);
        }
        server.write_all(request.text().as_bytes())?;
        next = Request::read(&mut requests)?;
    }
    server.shutdown(std::net::Shutdown::Both).map_err(Into::into)
}

struct Request {
    /// Its first line, and the headers but for the length.
    head: String,
    body: String,
}

impl Request {
    fn read(from: &mut impl BufRead) -> Result<Option<Self>> {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Ok(None);
            }
            match line.to_ascii_lowercase().strip_prefix(LENGTH) {
                Some(told) => length = told.trim().parse()?,
                None if line.trim().is_empty() => break,
                None => head.push_str(&line),
            }
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        Ok(Some(Self { head, body: String::from_utf8(body)? }))
    }

    /// Whom it is for: `POST http://HOST:PORT/PATH HTTP/1.1`.
    fn server(&self) -> Result<String> {
        let (_, url) = self.head.split_once("http://").context("not for a proxy")?;
        let host = url.split(['/', ' ']).next().unwrap_or_default();
        Ok(if host.contains(':') { host.to_owned() } else { format!("{host}:80") })
    }

    fn text(&self) -> String {
        let Self { head, body } = self;
        format!("{head}{LENGTH} {}\r\n\r\n{body}", body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_passed_on_with_the_length_that_it_has_then() {
        let sent = "POST http://provider:8090/v1/payment_intents HTTP/1.1\r\nContent-Length: 37\r\nhost: provider:8090\r\n\r\n\
                    amount=1&payment_method=pm_card_visa&GET ";
        let mut request = Request::read(&mut sent.as_bytes()).unwrap().unwrap();
        assert_eq!(request.server().unwrap(), "provider:8090");
        assert_eq!(request.body, "amount=1&payment_method=pm_card_visa&");
        request.body = request.body.replacen(PAYS, DECLINES, 1);
        assert!(
            request.text().ends_with("\r\ncontent-length: 47\r\n\r\namount=1&payment_method=pm_card_chargeDeclined&")
        );
        assert!(Request::read(&mut "".as_bytes()).unwrap().is_none());
    }
}
