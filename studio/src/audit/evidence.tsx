// The evidence of one plan as a file: the bytes that the API answers, so that its signature holds.
import { api } from "../api/client";
import { useDoing } from "../api/hooks";
import { Refused } from "../ui/notice";

export function Evidence({ planId }: { planId: string }) {
  const doing = useDoing();
  const take = (): void => {
    void doing.run(async () => {
      const answer = await api.GET("/audit/export", { params: { query: { plan_id: planId } }, parseAs: "blob" });
      const address = URL.createObjectURL(answer.data as Blob);
      const link = document.createElement("a");
      link.href = address;
      link.download = `evidence-${planId}.json`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
    });
  };
  return (
    <>
      <button type="button" disabled={doing.busy} onClick={take}>
        Download the evidence
      </button>
      <Refused problem={doing.problem} />
    </>
  );
}
