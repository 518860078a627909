/* capture/page_cache.h: images of pages that changed lately are found by page number and hash. */
#include "capture/page_cache.h"

#include "failing_alloc.h"

#define PAGE 512

static void an_image_is_found_by_its_page_and_its_hash(void **state)
{
    (void)state;
    struct page_cache *c = page_cache_new(PAGE);
    uint8_t first[PAGE], second[PAGE];
    assert_non_null(c);
    memset(first, 1, sizeof first);
    memset(second, 2, sizeof second);
    assert_null(page_cache_get(c, 1, 0));
    assert_null(page_cache_get(c, 1, 11));
    page_cache_put(c, 1, 11, first);
    page_cache_put(c, 2, 22, second);
    assert_memory_equal(page_cache_get(c, 1, 11), first, PAGE);
    assert_memory_equal(page_cache_get(c, 2, 22), second, PAGE);
    assert_null(page_cache_get(c, 1, 22)); /* another version of the page */
    assert_null(page_cache_get(c, 2, 11));
    page_cache_put(c, 1, 22, second); /* the newer version takes the place */
    assert_null(page_cache_get(c, 1, 11));
    assert_memory_equal(page_cache_get(c, 1, 22), second, PAGE);
    page_cache_free(c);
}

static void a_page_gives_way_to_another_in_its_place(void **state)
{
    (void)state;
    struct page_cache *c = page_cache_new(PAGE);
    uint32_t places = PAGE_CACHE_BYTES / PAGE;
    uint8_t page[PAGE];
    assert_non_null(c);
    for (uint32_t pgno = 1; pgno <= places + 10; pgno++) {
        memset(page, (int)pgno, sizeof page);
        page_cache_put(c, pgno, pgno, page);
    }
    for (uint32_t pgno = 1; pgno <= places + 10; pgno++) {
        const uint8_t *image = page_cache_get(c, pgno, pgno);
        memset(page, (int)pgno, sizeof page);
        if (pgno <= 10)
            assert_null(image);
        else
            assert_memory_equal(image, page, PAGE);
    }
    page_cache_free(c);
}

static void without_memory_there_is_no_cache(void **state)
{
    (void)state;
    for (unsigned long nth = 1; nth <= 3; nth++) {
        failing_alloc_arm(nth);
        struct page_cache *c = page_cache_new(65536);
        assert_true(failing_alloc_disarm());
        assert_null(c);
    }
    page_cache_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_image_is_found_by_its_page_and_its_hash),
                                       cmocka_unit_test(a_page_gives_way_to_another_in_its_place),
                                       cmocka_unit_test(without_memory_there_is_no_cache)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
