//! The figures as a picture: streams over the size of a message, and bars for the rest.

use std::collections::BTreeMap;
use std::error::Error;

use plotters::prelude::*;

use super::report::{Report, Row};

const SIZE: (u32, u32) = (1120, 840);
const MARGIN: u32 = 16;
const LABEL: (&str, u32) = ("sans-serif", 15);
const TITLE: (&str, u32) = ("sans-serif", 19);

/// The same color for the same program in every plot: plain sockets in grays, nodes in colors.
fn color_of(program: &str) -> RGBColor {
    match program {
        "raw-r0" => RGBColor(0xb8, 0xb8, 0xb8),
        "raw-r1-wide" | "raw-wide" => RGBColor(0x84, 0x84, 0x84),
        "mem" => RGBColor(0x1f, 0x77, 0xb4),
        "tcp" => RGBColor(0xd6, 0x5f, 0x0e),
        "sctp" => RGBColor(0x2c, 0x8a, 0x4b),
        _ => RGBColor(0x3c, 0x3c, 0x3c),
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// The picture, as SVG.
pub(crate) fn draw(report: &Report) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let caption = format!(
            "{} x {}, Linux {}, {}; medians of {}",
            report.cores, report.processor, report.kernel, report.congestion, report.repetitions
        );
        let body = root.titled(&caption, LABEL)?;
        let quarters = body.split_evenly((2, 2));
        let rows = |pattern: &'static str| report.rows.iter().filter(move |row| row.pattern == pattern);
        let million = |row: &Row| row.messages_per_second.median / 1e6;
        let cpu = |row: &Row| row.cpu_seconds_per_million.median;
        // Rates fall with the size and costs rise: what the lines mean stands where there are none.
        for (area, (title, of, legend)) in quarters.iter().zip([
            (
                "stream: million messages/s",
                &million as &dyn Fn(&Row) -> f64,
                SeriesLabelPosition::UpperRight,
            ),
            (
                "stream: CPU seconds per million, both ends",
                &cpu,
                SeriesLabelPosition::UpperLeft,
            ),
        ]) {
            lines(area, title, rows("stream").collect(), of, legend)?;
        }
        let p50 = |row: &Row| row.percentiles_us.map_or(0.0, |all| all[0]);
        for (area, (title, rows, of)) in quarters.iter().skip(2).zip([
            (
                "ping-pong: p50 there and back, microseconds",
                rows("pingpong").collect(),
                &p50 as &dyn Fn(&Row) -> f64,
            ),
            (
                "fan-in: CPU seconds per million, both ends",
                rows("fanin").collect(),
                &cpu,
            ),
        ]) {
            bars(area, title, rows, of)?;
        }
        root.present()?;
    }
    Ok(text)
}

/// A line for each program, over the bytes of a message; both axes logarithmic.
fn lines(
    area: &Area<'_>,
    title: &str,
    rows: Vec<&Row>,
    of: &dyn Fn(&Row) -> f64,
    legend: SeriesLabelPosition,
) -> Result<(), Box<dyn Error>> {
    let mut programs: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for row in rows {
        let point = (row.payload_bytes as f64, of(row).max(1e-6));
        programs.entry(&row.program).or_default().push(point);
    }
    let points = || programs.values().flatten().copied();
    let Some([low, high]) = bounds(points().map(|(_, y)| y)) else {
        return Ok(());
    };
    let [left, right] = bounds(points().map(|(x, _)| x)).unwrap_or([1.0, 10.0]);
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .caption(title, TITLE)
        .x_label_area_size(34)
        .y_label_area_size(56)
        .build_cartesian_2d((left..right).log_scale(), (low..high).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("bytes of a message")
        .x_labels(5)
        .y_labels(12)
        .x_label_formatter(&short)
        .y_label_formatter(&short)
        .light_line_style(TRANSPARENT)
        .label_style(LABEL)
        .draw()?;
    for (program, mut points) in programs {
        let color = color_of(program);
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        let dots = points.iter().map(|point| Circle::new(*point, 3, color.filled()));
        chart.draw_series(dots)?;
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))?
            .label(program)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(legend)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(LABEL)
        .draw()?;
    Ok(())
}

/// A bar for each row.
fn bars(
    area: &Area<'_>,
    title: &str,
    rows: Vec<&Row>,
    of: &dyn Fn(&Row) -> f64,
) -> Result<(), Box<dyn Error>> {
    let Some(most) = rows
        .iter()
        .map(|row| of(row))
        .max_by(f64::total_cmp)
        .filter(|most| *most > 0.0)
    else {
        return Ok(());
    };
    let names: Vec<String> = rows.iter().map(|row| name(row)).collect();
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN)
        .caption(title, TITLE)
        .x_label_area_size(34)
        .y_label_area_size(56)
        .build_cartesian_2d(
            (0..rows.len().saturating_sub(1)).into_segmented(),
            0.0..most * 1.15,
        )?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .label_style(LABEL)
        .x_labels(rows.len())
        .x_label_formatter(&|at| match at {
            SegmentValue::CenterOf(at) | SegmentValue::Exact(at) => {
                names.get(*at).cloned().unwrap_or_default()
            }
            SegmentValue::Last => String::new(),
        })
        .draw()?;
    for (at, row) in rows.iter().enumerate() {
        let color = color_of(&row.program);
        let height = of(row);
        let corners = [
            (SegmentValue::Exact(at), 0.0),
            (SegmentValue::Exact(at + 1), height),
        ];
        let mut bar = Rectangle::new(corners, color.mix(0.75).filled());
        bar.set_margin(0, 0, 18, 18);
        chart.draw_series([bar])?;
        let label = Text::new(
            format!("{height:.2}"),
            (SegmentValue::CenterOf(at), height + most * 0.06),
            LABEL,
        );
        chart.draw_series([label])?;
    }
    Ok(())
}

fn name(row: &Row) -> String {
    match row.connections {
        1 => row.program.clone(),
        connections => format!("{} x{connections}", row.program),
    }
}

/// A label of a logarithmic axis; most have no room for one.
fn short(value: &f64) -> String {
    let digit = value / 10_f64.powf(value.log10().floor());
    let labeled = [1.0, 2.0, 3.0, 5.0]
        .iter()
        .any(|labeled| (digit - labeled).abs() < 0.01);
    match *value {
        _ if !labeled => String::new(),
        value if value >= 1.0 => format!("{value:.0}"),
        value => format!("{value:.2}"),
    }
}

/// The least and the greatest, with room around them on a logarithmic axis.
fn bounds(values: impl Iterator<Item = f64> + Clone) -> Option<[f64; 2]> {
    let low = values.clone().min_by(f64::total_cmp)?;
    let high = values.max_by(f64::total_cmp)?;
    Some([low / 1.4, high * 1.4])
}
