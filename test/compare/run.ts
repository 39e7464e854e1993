import { describeComparison } from '../support/checks/comparison.ts';
import {
  compareGateway,
  gatewayComparisons,
  notCompared,
} from '../support/checks/gateway-comparisons.ts';
import { serverVersion } from '../support/servers/versions.ts';

for (const comparison of gatewayComparisons) {
  const { mode, kind } = comparison;
  const result = await compareGateway(comparison);
  console.log(`\n${mode} on ${kind} ${serverVersion(kind)}: ${describeComparison(result)}`);
  for (const answer of result.unrefused) console.log(`FAILED: not refused: ${answer}`);
  if (result.unrefused.length > 0 || result.equal / result.all < comparison.floor) {
    process.exitCode = 1;
  }
}
console.log(`\n${notCompared}`);
