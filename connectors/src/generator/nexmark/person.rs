//! Persons: somebody registers.

use arrow::array::ArrayRef;

use super::{
    Kind, Nexmark, Table, Texts, id, last_person, numbers, padding, texts, time_of, times,
};
use crate::generator::random::Stream;

pub(super) static TABLE: Table = Table {
    before: 0,
    per_cycle: 1,
    columns: &[
        ("id", Kind::Number),
        ("name", Kind::Text),
        ("email", Kind::Text),
        ("credit_card", Kind::Text),
        ("city", Kind::Text),
        ("state", Kind::Text),
        ("date_time", Kind::Time),
        ("extra", Kind::Text),
    ],
    rows,
};

const FIRST_NAMES: [&str; 11] =
    ["Ann", "Bert", "Cleo", "Dan", "Edna", "Fred", "Gil", "Hana", "Ivo", "Jo", "Kai"];
const LAST_NAMES: [&str; 9] =
    ["Abel", "Berg", "Cole", "Dorn", "Eads", "Frey", "Goss", "Hale", "Imai"];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];

fn rows(nexmark: &Nexmark, events: &mut dyn Iterator<Item = u64>) -> Vec<ArrayRef> {
    let (mut ids, mut at) = (vec![], vec![]);
    let (mut name, mut email, mut card) = (Texts::new(), Texts::new(), Texts::new());
    let (mut city, mut state, mut extra) = (Texts::new(), Texts::new(), Texts::new());
    for event in events {
        let random = &mut nexmark.stream(event);
        ids.push(id(last_person(event)));
        let (first, last) = (one_of(&FIRST_NAMES, random), one_of(&LAST_NAMES, random));
        name.push(&format!("{first} {last}"));
        email.with(|out| {
            random.letters(7, out);
            out.push(b'@');
            random.letters(5, out);
            out.extend(b".com");
        });
        let number = 1_000_000_000_000_000 + random.below(9_000_000_000_000_000);
        card.push(&number.to_string());
        city.push(one_of(&CITIES, random));
        state.push(one_of(&STATES, random));
        at.push(time_of(event));
        let length = padding(random, 200, 71);
        extra.letters(random, length);
    }
    vec![
        numbers(ids),
        texts(name),
        texts(email),
        texts(card),
        texts(city),
        texts(state),
        times(at),
        texts(extra),
    ]
}

fn one_of(words: &[&'static str], random: &mut Stream) -> &'static str {
    let count = u64::try_from(words.len()).expect("sizes fit 64 bits");
    words[usize::try_from(random.below(count)).expect("it is below a length")]
}
