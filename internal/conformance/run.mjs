// Runs a selection of the suite's tests against a front, and prints what came of
// each. Arguments: the suite's directory, the front's address, and the profile.
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'

const [dir, base, profile] = process.argv.slice(2)
const load = name => import(pathToFileURL(join(dir, name)))

const { default: suites } = await load('tests/index.mjs')
const { runTests, getResults } = await load('test-engine/client/runner.mjs')
const { determineTestResult, resultTypes } = await load('test-engine/lib/results.mjs')

// What is asked of shared caches only, and of browsers that reload a page.
const sharedOnly = /^(other-authorization|cc-resp-private-shared$|freshness-(max-age-)?s-maxage-shared|stale-close-(proxy-revalidate|s-maxage))/
const reload = /^cc-resp-immutable/
// Asked of browsers in the suite, but true of all private caches.
const alsoPrivate = /^(cc-resp-private-private$|freshness-max-age-s-maxage-private)/

const selected = suites.map(suite => ({
  ...suite,
  tests: suite.tests.filter(test => {
    if (profile === 'shared') return !test.browser_only
    if (alsoPrivate.test(test.id)) test.browser_only = false
    return !test.cdn_only && !test.browser_only && !sharedOnly.test(test.id) && !reload.test(test.id)
  })
}))

await runTests(selected, false, base)
const results = getResults()
const names = new Map(Object.entries(resultTypes).map(([name, type]) => [type, name]))
const report = []
for (const suite of selected) {
  for (const test of suite.tests) {
    const outcome = names.get(determineTestResult(suites, test.id, results))
    const why = Array.isArray(results[test.id]) ? results[test.id].join(': ') : ''
    report.push({ id: test.id, kind: test.kind ?? 'required', outcome, why })
  }
}
console.log(JSON.stringify(report))
process.exit(0)
