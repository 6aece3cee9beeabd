// Result as such; and with TOOLPOOL_NO_EXCEPTIONS in a program that has exceptions: they end in it.
#define TOOLPOOL_NO_EXCEPTIONS
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"

namespace {

using toolpool::Batching;
using toolpool::BatchItem;
using toolpool::Error;
using toolpool::ItemOutputs;
using toolpool::Items;
using toolpool::Pool;
using toolpool::Result;
using toolpool::Tool;

Result<int> halved(int value) {
    if (value % 2 != 0)
        return Error(TOOLPOOL_ERR_ITEM, std::to_string(value) + " is odd", 7U);
    return value / 2;
}

void a_result_is_a_value_or_an_error() {
    Result<int> two = halved(4);
    CHECK(two && two.has_value() && two.value() == 2 && *two == 2);
    *two = 3;
    CHECK(*std::as_const(two) == 3);
    const Result<int> none = halved(3);
    CHECK(!none && !none.has_value() && none.error().status() == TOOLPOOL_ERR_ITEM &&
          none.error().item() == 7U);
    CHECK(has(none.error().what(), "3 is odd"));
    CHECK(halved(12).and_then(halved).value() == 3);
    CHECK(!halved(6).and_then(halved) && !halved(3).and_then(halved));
    CHECK(halved(3).and_then(halved).error().item() == 7U);
}

void a_result_holds_what_cannot_be_copied() {
    Result<std::unique_ptr<int>> result(std::make_unique<int>(5));
    CHECK(**result == 5 && *result->get() == 5);
    const std::unique_ptr<int> taken = std::move(result).value();
    CHECK(*taken == 5);
}

void a_value_that_is_not_there_throws_the_error() {
    const auto status = [](auto body) {
        try {
            body();
        } catch (const Error &error) {
            return error.status();
        }
        return TOOLPOOL_OK;
    };
    CHECK(status([] { (void)halved(3).value(); }) == TOOLPOOL_ERR_ITEM);
    CHECK(status([] { (void)*std::as_const(*std::make_unique<Result<int>>(halved(3))); }) ==
          TOOLPOOL_ERR_ITEM);
    CHECK(status([] { Result<void>(Error(TOOLPOOL_ERR_MODEL, "none")).value(); }) ==
          TOOLPOOL_ERR_MODEL);
    CHECK(status([] { Result<void>().value(); }) == TOOLPOOL_OK);
    CHECK(Result<void>().has_value() && !Result<void>(Error(TOOLPOOL_ERR_ITEM, "")).has_value());
}

void what_lambdas_throw_ends_in_them() {
    auto pool = Pool::open("cpu*1");
    const auto items = Items::of({"a", "b"});
    const auto tool = Tool::from("thrower", [](BatchItem item, ItemOutputs outputs) {
        if (item.text().value() == "b")
            throw std::runtime_error("no b");
        (*outputs.alloc<float>("output", {}))[0] = 1;
    });
    const auto results = pool->run(*tool, *items);
    CHECK((*results)[0].ok() && has((*results)[1].error(), "no b"));

    Batching costs;
    costs.cost = [](std::string_view) -> double { throw std::out_of_range("no cost"); };
    const auto dear = Tool::from("dear", [](BatchItem, ItemOutputs) {}, costs);
    const auto run = pool->run(*dear, *items);
    CHECK(!run && run.error().status() == TOOLPOOL_ERR_FAILED &&
          has(run.error().what(), "no cost"));
    const auto job = pool->submit(*dear, *items);
    CHECK(!job && has(job.error().what(), "no cost"));
    CHECK(bool(pool->run(*tool, *items)));
}

} // namespace

int main() {
    a_result_is_a_value_or_an_error();
    a_result_holds_what_cannot_be_copied();
    a_value_that_is_not_there_throws_the_error();
    what_lambdas_throw_ends_in_them();
    return failures != 0;
}
