use chrono::{DateTime, TimeDelta};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::*;

/// Of each network, and as they are printed.
const CARDS: [&str; 8] = [
    "4242 4242 4242 4242",
    "5555 5555 5555 4444",
    "2223 0031 2200 3222",
    "3782 822463 10005",
    "3056 930902 5904",
    "6011 1111 1111 1117",
    "3566 0020 2036 0505",
    "6205 5000 0000 0000 004",
];

#[test]
fn card_numbers_are_found_wherever_they_stand() {
    for document in [
        json!({"token": "4242424242424242"}),
        json!({"token": "4242 4242 4242 4242"}),
        json!({"a": [{"b": "card: 4242-4242-4242-4242."}]}),
        json!({"text": "4242 4242 4242 4242 12/27"}),
        json!({"text": "12 4242424242424242 123"}),
        json!({"text": "1 3782-822463-10005 0327"}),
        json!({"text": "4242.4242.4242.4242 12.27"}),
        json!({"text": "no.\t4242\t4242\t4242\t4242\t12\t27"}),
        json!({"text": "on 01994242-4242-7242-8242-424242abcdef: 4242 4242 4242 4242"}),
        json!({"number": 378_282_246_310_005_u64}),
        json!({"number": 4_242_424_242_424_242.0}),
        json!({"4242424242424242": true}),
        json!({"token": "x4242424242424242"}),
        json!({"text": "pay_4242424242424242"}),
        json!({"text": "7,4242424242424242,Ada"}),
    ] {
        assert!(stands_in(&document), "{document}");
    }
}

#[test]
fn whatever_parts_the_groups_is_seen_through() {
    let gaps = " \t\u{a0}\u{1680}\u{2000}\u{2002}\u{2003}\u{2007}\u{2008}\u{2009}\u{200a}\u{202f}\u{205f}\u{3000}\u{200b}\u{2060}\u{feff}";
    let dashes = "-\u{ad}\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2015}\u{2212}\u{fe63}\u{ff0d}";
    let dots = ".\u{b7}\u{2022}\u{2024}\u{2219}\u{22c5}\u{ff0e}";
    for card in CARDS {
        assert!(stands_in_text(&card.replace(' ', "")), "{card}");
        for parting in [gaps, dashes, dots].concat().chars() {
            let text = card.replace(' ', &parting.to_string());
            assert!(stands_in_text(&text), "{text:?}");
            assert!(stands_in_text(&format!("card {text}, thank you")), "{text:?}");
        }
    }
    for text in ["42424242 42424242", "4242-42424242-4242", "3782 8224 6310 005", "3056 9309 0259 04"] {
        assert!(stands_in_text(text), "{text}");
    }
}

#[test]
fn what_only_resembles_a_card_number_passes() {
    for document in [
        json!({"token": "4242424242424241"}),
        json!({"amount": "1234567890.00", "last_four": "4242"}),
        json!({"token": "tok_1NxxVisa"}),
        json!({"id": "pm_0199424242424242424242abcdef7abc"}),
        json!({"id": "01994242-4242-7242-8242-424242abcdef"}),
        json!({"fingerprint": "a4242424242424242b7d2f0c9e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a"}),
        json!({"text": "42424242424242424242424242424242"}),
        json!({"order": "1795400000000"}),
        json!({"text": "4242\n4242\n4242\n4242"}),
        json!({"text": "4242, 4242, 4242, 4242"}),
        json!({"text": "4242.4242-4242.4242"}),
        json!({"share": 0.424_242_424_242_424_2}),
    ] {
        assert!(!stands_in(&document), "{document}");
    }
}

/// Every tenth number passes for a card's by its check digit, so a thousand of each kind show whether the kind does.
fn none_of(kind: &str, mut text: impl FnMut(&mut StdRng) -> String) {
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..1_000 {
        let text = text(&mut random);
        assert!(!stands_in_text(&text), "{kind}: {text}");
    }
}

#[test]
fn no_amount_is_taken_for_a_card_number() {
    none_of("amount", |random| {
        format!("{}.{:02}", random.random_range(0..10_i64.pow(12)), random.random_range(0..100))
    });
    none_of("grouped amount", |random| {
        let digits = random.random_range(10_i64.pow(12)..10_i64.pow(18)).to_string();
        let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
        let parting = [",", ".", " ", "\u{a0}", "\u{202f}", "'"][random.random_range(0..6)];
        let groups: Vec<_> = groups.into_iter().map(|group| str::from_utf8(group).unwrap()).collect();
        format!("{},{:02} EUR", groups.join(parting), random.random_range(0..100))
    });
}

#[test]
fn no_time_is_taken_for_a_card_number() {
    let formats = [
        "%Y-%m-%dT%H:%M:%S%.6fZ",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%d %H-%M-%S",
        "%Y-%m-%d-%H-%M-%S-%3f",
        "%Y.%m.%d %H.%M.%S",
        "%Y.%m.%d.%H.%M.%S.%3f",
        "%d.%m.%Y %H:%M",
        "%Y%m%d%H%M%S",
        "%Y%m%d%H%M%S%3f",
        "%Y%m%d-%H%M%S",
        "%Y%m%d %H%M%S %3f",
        "%s",
        "%s%3f",
        "%s%6f",
        "%s%9f",
        "%s.%9f",
    ];
    for format in formats {
        none_of(format, |random| {
            let since = TimeDelta::nanoseconds(random.random_range(0..300_000_000_000_000_000));
            (DateTime::from_timestamp(1_700_000_000, 0).unwrap() + since).format(format).to_string()
        });
    }
}

#[test]
fn no_id_or_address_is_taken_for_a_card_number() {
    let uuid = |random: &mut StdRng| Uuid::from_u128(random.random());
    none_of("UUID", |random| uuid(random).to_string());
    none_of("UUID in a text", |random| format!("order {}, again", uuid(random)));
    none_of("id", |random| format!("pay_{}", uuid(random).simple()));
    // As unlucky as they come.
    none_of("UUID of digits", |random| {
        let digits: String = (0..32).map(|_| char::from(b'0' + random.random_range(0..10_u8))).collect();
        let uuid = Uuid::try_parse(&digits).unwrap();
        format!("{uuid} and {}", uuid.simple())
    });
    let v4 = |random: &mut StdRng| std::net::Ipv4Addr::from_bits(random.random()).to_string();
    none_of("IPv4 address", v4);
    none_of("IPv4 addresses", |random| [v4(random), v4(random), v4(random)].join(" "));
    none_of("IPv4 network", |random| format!("{}/24:4242", v4(random)));
    none_of("IPv6 address", |random| std::net::Ipv6Addr::from_bits(random.random()).to_string());
}

#[test]
fn no_telephone_number_is_taken_for_a_card_number() {
    // Country, and the digits after it as they are grouped there.
    let plans: [(&str, &[u32]); 10] = [
        ("1", &[3, 3, 4]),
        ("30", &[3, 7]),
        ("33", &[1, 2, 2, 2, 2]),
        ("39", &[3, 3, 5]),
        ("44", &[4, 6]),
        ("49", &[4, 7]),
        ("54", &[1, 2, 4, 4]),
        ("55", &[2, 5, 4]),
        ("62", &[3, 4, 5]),
        ("86", &[3, 4, 4]),
    ];
    for (country, lengths) in plans {
        for parting in ["", " ", "-", ".", "\u{a0}"] {
            for before in ["+", "00", ""] {
                none_of("telephone number", |random| {
                    let groups = lengths.iter().map(|length| {
                        let least = 10_u32.pow(length - 1);
                        random.random_range(least..10 * least).to_string()
                    });
                    let groups: Vec<String> = std::iter::once(country.to_owned()).chain(groups).collect();
                    format!("{before}{}", groups.join(parting))
                });
            }
        }
    }
}

#[test]
fn no_list_of_decimals_is_taken_for_a_card_number() {
    for (parting, decimals) in [(" ", 4), (", ", 4), ("; ", 12), (" ", 12), (" ", 16), ("\t", 16), ("-", 8), (",", 15)]
    {
        none_of("decimals", |random| {
            let list: Vec<String> =
                (0..4).map(|_| format!("{:.decimals$}", random.random_range(0.0..10_000.0_f64))).collect();
            list.join(parting)
        });
    }
    none_of("shares", |random| format!("[{}, {}]", random.random::<f64>(), random.random::<f64>()));
    none_of("place", |random| {
        let (north, east) = (random.random_range(-90.0..90.0_f64), random.random_range(-180.0..180.0_f64));
        format!("{north:.6},{east:.6} {north},{east}")
    });
}
