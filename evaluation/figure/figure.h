// Draws charts as SVG. The same content gives the same bytes. All text is escaped.
//
// Colours are custom properties (`var(--compiler)`) that a page's style sheet or the style of a
// separate file defines, once for light and once for dark. Shapes, dashes and stripes distinguish
// series where colours do not.
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

// Returns SVG for a page, which contains the style.
[[nodiscard]] std::string embedded(const Drawing& drawing);
// Returns a separate file with style and background.
[[nodiscard]] std::string file_of(const Drawing& drawing);

// Returns the <pattern> of paint "striped", for the <defs> of a page.
[[nodiscard]] std::string stripes();

enum class Shape { kCircle, kSquare, kTriangle, kDiamond };

struct Look {
  std::string paint = "ink";  // name of the custom property
  Shape shape = Shape::kCircle;
  const char* dash = "";  // dashes of the line, such as "6 3"; empty: solid
};

struct Point {
  double x = 0;
  double y = 0;
};

enum class Marks { kLine, kPoints, kHollowPoints };

struct Series {
  std::string key;  // its name in a control of the page
  std::string title;
  Look look;
  Marks marks = Marks::kLine;
  std::vector<Point> points;
};

struct Axis {
  std::string title;
  bool is_logarithmic = false;
  double from = 0;
  std::optional<double> to;  // default: the largest value for x, the mark above it for y
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

// A chart with a row per name and a mark per series in each row.
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

// A chart of the activities of each lane over time.
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
  std::vector<std::string> names;  // from top to bottom
  std::vector<Cause> causes;
  std::vector<Span> spans;
  std::vector<Label> labels;  // drawn if they fit
};
[[nodiscard]] Drawing draw(const Lanes& chart, double width);

// Groups of bars. A bar shows the bytes that a device keeps and those streamed to it. As many
// groups as fit are next to each other.
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
