// Charts as SVG: the same content gives the same bytes. All text is escaped.
//
// Colours are custom properties (`var(--compiler)`) that a page's style sheet or the style of a
// file on its own defines, once for light and once for dark; shapes, dashes and stripes tell series
// apart where colours do not.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace segue::figure {

struct Drawing {
  std::string title;
  double width = 0;
  double height = 0;
  std::string content;  // elements of an <svg>
};

// For a page, which brings the style.
[[nodiscard]] std::string embedded(const Drawing& drawing);
// A file of its own, with style and paper.
[[nodiscard]] std::string file_of(const Drawing& drawing);

// The <pattern> of paint "striped", for the <defs> of a page.
[[nodiscard]] std::string stripes();

enum class Shape { kCircle, kSquare, kTriangle, kDiamond };

struct Look {
  std::string paint = "ink";  // name of the custom property
  Shape shape = Shape::kCircle;
  const char* dash = "";  // of the line: "6 3"; empty: solid
};

struct Point {
  double x = 0;
  double y = 0;
};

enum class Marks { kLine, kPoints, kHollowPoints };

struct Series {
  std::string key;  // what a control of the page knows it by
  std::string title;
  Look look;
  Marks marks = Marks::kLine;
  std::vector<Point> points;
};

struct Axis {
  std::string title;
  bool is_logarithmic = false;
  double from = 0;
  std::optional<double> to;  // else: across, the largest value; up, the mark above it
};

struct Guide {
  Point from;
  Point to;
  bool is_dashed = true;
};

struct XyPlot {
  std::string title;
  Axis x;
  Axis y;
  std::vector<Series> series;
  std::vector<Guide> guides;
  double height = 320;
};
[[nodiscard]] Drawing draw(const XyPlot& plot, double width);

// One row per name, one mark per series on it.
struct DotRows {
  struct Series {
    std::string key;
    std::string title;
    Look look;
    std::vector<std::optional<double>> values;  // one per row
  };
  std::string title;
  std::string axis;
  std::vector<std::string> rows;
  std::vector<Series> series;
  std::vector<double> limits = {};  // a line across each row; may be left out
  std::string limit_title = {};
};
[[nodiscard]] Drawing draw(const DotRows& chart, double width);

// What each lane does when.
struct Lanes {
  struct Span {
    std::size_t lane = 0;
    double begin = 0;
    double end = 0;
    std::size_t cause = 0;  // position in `causes`
  };
  struct Label {
    std::size_t lane = 0;
    double begin = 0;
    double end = 0;
    std::string text;
  };
  struct Cause {
    std::string title;
    std::string paint;
  };
  std::string title;
  std::string axis;
  std::vector<std::string> names;  // from above
  std::vector<Cause> causes;
  std::vector<Span> spans;
  std::vector<Label> labels;  // drawn where they fit
};
[[nodiscard]] Drawing draw(const Lanes& chart, double width);

// Groups of bars, each bar what one device keeps and what is streamed to it; as many groups beside
// each other as fit.
struct MemoryGroups {
  struct Bar {
    double on_chip = 0;
    double host = 0;
  };
  struct Strip {
    std::string key;
    std::string title;
    std::vector<Bar> bars;
  };
  struct Group {
    std::string title;
    std::vector<Strip> strips;  // below each other
  };
  std::string title;
  double capacity = 0;
  std::vector<Group> groups;
};
[[nodiscard]] Drawing draw(const MemoryGroups& chart, double width);

}  // namespace segue::figure
