//! Measures a publish of one edited page in a very wide folder, compared with the same site in narrow folders: each
//! entry of a changed folder is linked again, so the cost of an edit grows with the width.

use crate::measure::{Row, Table, Watch};
use crate::ours::{Levels, Ours, Way};
use crate::scenarios::{Extent, say, thousands};
use crate::site;
use crate::support::sshd::Offer;

/// Pages of a narrow folder.
const NARROW: usize = 50;

/// Edits and publishes the same pages in one folder and in narrow ones, in turns.
pub fn flat(extent: Extent, table: &mut Table) {
    let (rounds, pages) = match extent {
        Extent::Quick => (2, 500),
        Extent::Full => (5, 5000),
    };
    let mut sides = [NARROW, pages].map(|a_section| {
        say(&format!(
            "{pages} pages, {a_section} in a folder: writing them, first publish"
        ));
        let mut ours = Ours::with(Levels::QUICK, Offer::default(), |export| {
            site::write_in_sections(export, pages, a_section);
        });
        let home = ours.new_home();
        ours.publish(Way::Near, &home, Watch::Time);
        let row = Row::new(format!("{} pages in a folder", thousands(a_section)));
        (ours, home, a_section, row)
    });
    for round in 0..=rounds {
        say(&format!("{pages} pages, one edited: {round} of {rounds}"));
        let took = sides.each_ref().map(|(ours, home, a_section, _)| {
            site::edit_in_sections(&ours.export, (round * 37 + 11) % pages, round + 1, *a_section);
            ours.publish(Way::Far, home, Watch::Time)
        });
        // The first round finds caches that the near line filled, so it does not count.
        if round > 0 {
            for ((_, _, _, row), took_it) in sides.iter_mut().zip(&took) {
                row.add(took_it);
                row.against.push(took_it.ran.seconds / took[0].ran.seconds);
            }
        }
    }
    table.group(&format!(
        "one page edited of {}, RTT 50 ms; the time is divided by that of the narrow folders",
        thousands(pages)
    ));
    for (_, _, _, row) in &sides {
        table.push(row);
    }
}
