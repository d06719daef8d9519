// Elements of an SVG, and scales for them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "evaluation/figure/figure.h"

namespace segue::figure {

enum class Anchor { kStart, kMiddle, kEnd };

// Text for markup: what means something there is escaped, what cannot stand there replaced.
[[nodiscard]] std::string escaped(std::string_view text);

// Width of text of the figures' size, in pixels, about.
[[nodiscard]] double width_of(std::string_view text);

class Canvas {
 public:
  void line(Point from, Point to, std::string_view style);
  // `style` is a class of the style sheet.
  void text(Point at, std::string_view text, Anchor anchor = Anchor::kStart,
            std::string_view style = "");
  // Around `at`, as far as it then ends before `right`; else at that end.
  void title(Point at, std::string_view text, double right);
  // Up the left edge of a plot.
  void text_upwards(Point at, std::string_view text);
  void rect(Point corner, double width, double height, std::string_view paint);
  void path(std::string_view data, std::string_view attributes);
  void mark(Point at, const Look& look, double size, bool is_hollow);
  // What follows belongs to a series that a control may dim.
  void begin_series(std::string_view key);
  void end_series();

  // One sign and title for each, in lines of `width`; returns the height.
  struct Entry {
    std::string title;
    Look look;
    enum class Sign { kLine, kMark, kHollowMark, kUpright, kPaint } sign = Sign::kLine;
  };
  double legend(double left, double top, double width, const std::vector<Entry>& entries);

  [[nodiscard]] const std::string& content() const { return content_; }

 private:
  std::string content_;
};

// From values to pixels.
class Scale {
 public:
  Scale(double from, double to, double low, double high, bool is_logarithmic = false);
  [[nodiscard]] double operator()(double value) const;

 private:
  double from_;
  double to_;
  double low_;
  double high_;
  bool is_logarithmic_;
};

// Round values from 0 to at least `largest`, about `count` of them.
[[nodiscard]] std::vector<double> ticks(double largest, int count);
// Powers of ten within [from, to], with twice and five times of each where there are few.
[[nodiscard]] std::vector<double> logarithmic_ticks(double from, double to);

[[nodiscard]] std::string paint_of(const std::string& name);  // "var(--name)"

}  // namespace segue::figure
