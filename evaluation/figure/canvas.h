// Draws elements of an SVG, and computes scales for them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "evaluation/figure/figure.h"

namespace segue::figure {

enum class Anchor { kStart, kMiddle, kEnd };

// Returns text for markup, in which special characters are escaped and forbidden ones replaced.
[[nodiscard]] std::string escaped(std::string_view text);

// Returns the approximate width of text in the figures' size, in pixels.
[[nodiscard]] double width_of(std::string_view text);

class Canvas {
 public:
  void line(Point from, Point to, std::string_view style);
  // `style` is a class of the style sheet.
  void text(Point at, std::string_view text, Anchor anchor = Anchor::kStart,
            std::string_view style = "");
  // Centres a title at `at`, or moves it left so that it ends before `right`.
  void title(Point at, std::string_view text, double right);
  // Writes text upwards along the left edge of a plot.
  void text_upwards(Point at, std::string_view text);
  void rect(Point corner, double width, double height, std::string_view paint);
  void path(std::string_view data, std::string_view attributes);
  void mark(Point at, const Look& look, double size, bool is_hollow);
  // Elements until end_series belong to a series that a control may dim.
  void begin_series(std::string_view key);
  void end_series();

  // Draws a sign and a title for each entry, in lines of this width; returns the height.
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

// Converts values to pixels.
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

// Returns about `count` round values from 0 to at least `largest`.
[[nodiscard]] std::vector<double> ticks(double largest, int count);
// Returns powers of ten within [from, to], and their double and fivefold values if there are few.
[[nodiscard]] std::vector<double> logarithmic_ticks(double from, double to);

[[nodiscard]] std::string paint_of(const std::string& name);  // "var(--name)"

}  // namespace segue::figure
