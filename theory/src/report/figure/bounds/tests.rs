use super::*;
use crate::losses::{group, read_from};

fn rows(rows: &str) -> Vec<LossComponents> {
    let header = "dataset,seed,num_classes,num_draws,class_counts,temperature,sampling,info_nce,gap,log1p_collisions,full_sup_loss,mean_accuracy\n";
    let rows = rows.replace("COUNTS", &["100"; 10].join(";"));
    read_from(&format!("{header}{rows}"), "losses.csv").unwrap()
}

fn svg(text: &str, style: &Style) -> String {
    let rows = rows(text);
    let found = bounds_against_draws(&group(&rows).unwrap(), style, Format::Svg).unwrap();
    String::from_utf8(found).unwrap()
}

fn style(keys: &[&str]) -> Style {
    Style { bounds: Selection::of(keys).unwrap(), ..Style::default() }
}

const ONE: &str = "a,7,10,32,COUNTS,0.5,with_replacement,2.0,-1.2,1.3,1.2,0.9\na,7,10,64,COUNTS,0.5,with_replacement,2.7,-1.2,1.95,1.2,0.91\n";

#[test]
fn three_panels_with_names_at_the_lines_and_only_the_notes_that_are_needed() {
    let found = svg(ONE, &style(&["reverse_jensen", "specht"]));
    for text in [
        "L_sup and upper bounds of it",
        "The same around ln C",
        "Accuracy",
        "ln C = 2.303",
        "specht",
        "reverse_jensen",
    ] {
        assert!(found.contains(text), "{text}");
    }
    assert!(found.contains("Hollow") && !found.contains("Bands") && !found.contains("above the axis"));
    let seeds = ONE.replace("a,7", "a,8").replace("2.0,", "2.1,");
    let of_seeds = svg(&format!("{ONE}{seeds}"), &style(&["specht"]));
    assert!(of_seeds.contains(" Bands: one") && of_seeds.contains("<polygon"));
    // Of one n a bar shows what a band cannot.
    let first = |rows: &str| rows.lines().next().unwrap().to_string();
    let one_draw = svg(&format!("{}\n{}\n", first(ONE), first(&seeds)), &style(&["specht"]));
    assert!(one_draw.contains(" Bars: one") && !one_draw.contains("Bands"), "{one_draw}");
    let only = Style { panels: vec![PanelKind::Accuracy], ..Style::default() };
    assert!(!svg(ONE, &only).contains("nats"));
}

#[test]
fn what_is_far_above_ln_c_leaves_the_rest_visible() {
    // CIFAR-100: CURL and others reach 1e22.
    let rows = crate::losses::committed("cifar100-small");
    let found = bounds_against_draws(&group(&rows).unwrap(), &Style::default(), Format::Svg).unwrap();
    let found = String::from_utf8(found).unwrap();
    assert!(found.contains("↑ above the axis") && found.contains("10⁶") && !found.contains("10⁸"));
    assert!(
        found.contains("<title>curl, n = 128: "),
        "a value that is above the axis can be read by pointing"
    );
}

#[test]
fn one_class_and_nothing_to_show_are_drawn() {
    let header = "num_classes,num_draws,temperature,sampling,info_nce";
    for (row, more, value) in
        [("1,4,0.5,with_replacement,1.0", "", ""), ("1,4,0.5,with_replacement,1.0", ",full_sup_loss", ",0.0")]
    {
        let rows = read_from(&format!("{header}{more}\n{row}{value}\n"), "losses.csv").unwrap();
        for format in [Format::Svg, Format::Png, Format::Pdf] {
            assert!(
                !bounds_against_draws(&group(&rows).unwrap(), &Style::default(), format).unwrap().is_empty()
            );
        }
    }
}

#[test]
fn a_pdf_has_one_page_of_the_width_that_is_asked_for() {
    let rows = rows(ONE);
    let style = Style { width: 312, ..style(&["specht", "reverse_jensen"]) };
    let found = bounds_against_draws(&group(&rows).unwrap(), &style, Format::Pdf).unwrap();
    let text = String::from_utf8_lossy(&found);
    // 3.25 inches of 72 points.
    assert!(text.starts_with("%PDF-") && text.contains("/MediaBox [0 0 234 ") && text.contains("/Count 1"));
    assert!(found.len() > 5000 && found.len() < 100_000, "{}", found.len());
}

#[test]
fn settings_are_lines_of_their_own_that_say_what_differs() {
    let other = ONE.replace(",0.5,with", ",0.2,with").replace("1.2,0.9", "0.9,0.9");
    let found = svg(&format!("{ONE}{other}"), &style(&["specht"]));
    for text in ["specht, t = 0.2", "specht, t = 0.5", "L_sup, measured, t = 0.2"] {
        assert!(found.contains(text), "{text}");
    }
    // Dots are of what is not proved, in every setting.
    let many: String = (1..=18).map(|i| ONE.replace(",0.5,with", &format!(",0.{i:02},with"))).collect();
    let rows = rows(&many);
    let groups = group(&rows).unwrap();
    let lines = Content::new(&groups, &Selection::of(&["specht", "bao"]).unwrap()).bound_lines();
    let looks = |bound: &str| {
        let lines = lines.iter().filter(|line| line.name.starts_with(&format!("{bound}, ")));
        lines.map(|line| (line.look.colour(), line.look.dash)).collect::<Vec<_>>()
    };
    let (proved, dotted) = (looks("specht"), looks("bao"));
    assert!(proved.len() == 18 && (0..18).all(|i| !proved[..i].contains(&proved[i])), "{proved:?}");
    assert!(proved.iter().all(|look| look.1 != DOTTED));
    assert!(dotted.len() == 18 && dotted.iter().all(|look| look.1 == DOTTED), "{dotted:?}");
    // The accuracies agree.
    assert!(found.contains(">\nmean classifier\n<") && !found.contains("mean classifier, t"), "{found}");
}

#[test]
fn what_is_no_theorem_is_told_apart_in_shape_and_words() {
    let text = |keys: &[&str]| svg(ONE, &style(keys));
    let plain = text(&["specht", "reverse_jensen"]);
    assert!(!plain.contains("not proved"), "{plain}");
    let rows = crate::losses::committed("digits-fixed-batch");
    let groups = group(&rows).unwrap();
    let mixed = style(&["specht", "curl_as_published", "bao"]);
    let mixed = Content::new(&groups, &mixed.bounds).figure(&mixed);
    let note = mixed.notes.last().unwrap();
    assert!(note.contains("not proved") && !note.contains("specht"), "{note}");
    assert!(note.ends_with("curl_as_published (as published), bao (unproved)."), "{note}");
    // No title calls a bound what is not proved, and what an axis leaves no room for is named.
    let figure = |keys: &[&str], panels: &[PanelKind]| {
        let style = Style { panels: panels.to_vec(), ..style(keys) };
        let figure = Content::new(&groups, &style.bounds).figure(&style);
        (figure.panels[0].clone(), figure.notes)
    };
    let (panel, notes) = figure(&["curl_as_published", "bao"], &[PanelKind::Linear]);
    assert_eq!(panel.title, "L_sup, and values not proved to be upper bounds of it, around ln C");
    assert_eq!(notes.last().unwrap(), "Not shown, above the axis at every n: bao.");
    // The line ends at 64; why, stands behind it.
    let line = panel.lines.iter().find(|line| line.name == "curl_as_published").unwrap();
    assert_eq!(line.undefined, [128.0, 256.0]);
    let both = [PanelKind::Log, PanelKind::Linear];
    let (panel, notes) = figure(&["specht", "bao"], &both);
    assert_eq!(panel.title, "L_sup, upper bounds of it, and values not proved to be one");
    assert!(notes.iter().all(|note| !note.contains("Not shown")), "{notes:?}");
    let lacking = text(&["specht", "specht_measured"]);
    assert!(lacking.contains("Not shown, without a value at any n: specht_measured."), "{lacking}");
    for bound in bounds::all().iter().filter(|bound| !bound.upper_needs().is_empty()) {
        for line in Content::new(&groups, &Selection::of(&[bound.key()]).unwrap()).bound_lines() {
            let open = matches!(line.look.sign, Sign::Open(_));
            assert_eq!(open, bound.standing() != Standing::Theorem, "{}", bound.key());
            assert!(!open || line.points.iter().all(|p| !p.hollow), "{}", bound.key());
        }
    }
}
