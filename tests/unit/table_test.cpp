// SPDX-License-Identifier: GPL-2.0-or-later
#include "table.hpp"

#include <gtest/gtest.h>

namespace sockaccel::ctl {
namespace {

Table table() {
    Table table({{"NAME", Align::left, 4}, {"N", Align::right}, {"WHY", Align::left, 6}});
    table.add({"a-long-name", "1", "because of something"});
    table.add({"b", "23", ""});
    return table;
}

TEST(Table, IsWholeInAPipe) {
    EXPECT_EQ(table().text({}),
              "NAME          N  WHY\n"
              "a-long-name   1  because of something\n"
              "b            23\n");
}

TEST(Table, CutsTheWidestColumnFirst) {
    EXPECT_EQ(table().text({28, false}),
              "NAME          N  WHY\n"
              "a-long-name   1  because of…\n"
              "b            23\n");
}

TEST(Table, CutsTheLineIfColumnsCannotBeCutFurther) {
    EXPECT_EQ(table().text({10, false}),
              "NAME   N\n"
              "a-l…   1\n"
              "b     23\n");
}

TEST(Table, WrapsNotesAndCountsCharacters) {
    Table noted({{"ÄÖ"}, {"B"}});
    noted.add({"ü", "b"}, {"a note of some length"});
    EXPECT_EQ(noted.text({10, false}),
              "ÄÖ  B\n"
              "ü   b\n"
              "  a note\n"
              "  of some\n"
              "  length\n");
}

TEST(Table, ColorsDoNotCountAsWidth) {
    Table colored({{"A"}, {"B"}});
    colored.add({{"x", Color::red}, "y"});
    EXPECT_EQ(colored.text({80, true}),
              "\x1b[1mA\x1b[0m  \x1b[1mB\x1b[0m\n"
              "\x1b[31mx\x1b[0m  y\n");
}

}  // namespace
}  // namespace sockaccel::ctl
