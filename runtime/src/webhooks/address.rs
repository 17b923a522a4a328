//! Where events may be sent: only to the public internet, and by TLS. Otherwise a merchant could make the platform call
//! what only the platform can reach: its database, its neighbours, the cloud's metadata service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Longest URL that is stored.
const URL_MAX: usize = 500;
/// Names that are never of the public internet, whatever a name server says.
const PRIVATE_SUFFIXES: [&str; 7] =
    ["localhost", "local", "internal", "localdomain", "home.arpa", "cluster.local", "svc"];

/// An endpoint's URL, parsed. `allow_private` is for development.
///
/// # Errors
/// A sentence that completes "url …".
pub fn check(text: &str, allow_private: bool) -> Result<Url, &'static str> {
    if text.len() > URL_MAX {
        return Err("must be at most 500 bytes");
    }
    let url = Url::parse(text).map_err(|_| "must be a URL such as https://shop.example/webhooks")?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        _ => return Err("must begin with https://"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user name and no password: they would be shown to whoever reads it");
    }
    if url.fragment().is_some() {
        return Err("must have no fragment");
    }
    if !allow_private && !is_public_host(&url) {
        return Err("must be an address on the public internet");
    }
    Ok(url)
}

/// Whether the host of a URL could be a public one: no private address, and no name of a private network. What a name
/// means is looked at when it is resolved, at each connection ([`super::resolver`]).
#[must_use]
pub fn is_public_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_public(address.into()),
        Some(Host::Ipv6(address)) => is_public(address.into()),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let private =
                |suffix: &&str| name == *suffix || name.strip_suffix(*suffix).is_some_and(|n| n.ends_with('.'));
            name.contains('.') && !PRIVATE_SUFFIXES.iter().any(private)
        }
        None => false,
    }
}

/// Whether an address is one of the public internet, by the special-purpose registries of RFC 6890 and its successors.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // This network; private; loopback; multicast, reserved and broadcast.
        [0 | 10 | 127 | 224..=255, ..] => true,
        // Shared by carriers (CGNAT), where clusters also live.
        [100, 64..=127, ..] => true,
        // Link-local: the metadata services of clouds.
        [169, 254, ..] => true,
        [172, 16..=31, ..] => true,
        // Protocol assignments, documentation, relays of 6to4, private.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [192, 168, ..] => true,
        // Benchmarks and documentation.
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(embedded) = embedded_v4(address) {
        return is_public_v4(embedded);
    }
    match address.segments() {
        // Teredo, ORCHID and other protocol assignments; documentation; 6to4, which leads to any address of version 4.
        [0x2001, 0x0000..=0x01ff, ..] | [0x2001, 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0x0000..=0x0fff, ..] => false,
        // Global unicast is 2000::/3; loopback, link-local, unique local and multicast addresses are outside of it.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// The address of version 4 that is meant: mapped (`::ffff:0:0/96`) or translated (`64:ff9b::/96`).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = |[.., a, b]: [u16; 8]| {
        let ([a, b], [c, d]) = (a.to_be_bytes(), b.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        segments @ ([0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..]) => Some(last(segments)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.8.9.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "9.9.9.9",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.1.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2a00:1450::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_url_that_leads_inside_is_refused_however_it_is_written() {
        for url in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.0.0.1/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://10.0.0.1:8443/x",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://postgres/",
            "https://db.shop.svc.cluster.local/",
            "https://db.shop.svc/",
            "https://metadata.google.internal/",
            "https://①②⑦.0.0.1/",
            "https://169.254.169.254/latest/meta-data/",
        ] {
            assert!(check(url, false).is_err(), "{url}");
            assert!(check(url, true).is_ok(), "{url} is allowed for development");
        }
        assert!(check("https://notlocalhost.example/", false).is_ok());
    }

    #[test]
    fn what_is_no_address_for_events_is_refused() {
        let long = format!("https://shop.example/{}", "x".repeat(URL_MAX));
        for (url, says) in [
            ("http://shop.example/", "https://"),
            ("ftp://shop.example/", "https://"),
            ("shop.example/hooks", "must be a URL"),
            ("", "must be a URL"),
            ("https://", "must be a URL"),
            ("https://user:pass@shop.example/", "no password"),
            ("https://user@shop.example/", "no user name"),
            ("https://shop.example/#part", "fragment"),
            (&long, "at most"),
        ] {
            let error = check(url, false).unwrap_err();
            assert!(error.contains(says), "{url}: {error}");
        }
        assert!(check("https://shop.example:8443/webhooks?tenant=7", false).is_ok());
        assert!(check("http://10.0.0.1:9/hook", true).is_ok());
    }
}
