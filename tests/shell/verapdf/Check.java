import java.io.FileInputStream;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.flavours.PDFAFlavour;

/** Says of each file whether it keeps to PDF/UA-1, and which rules it breaks. */
public class Check {
    public static void main(String[] names) throws Exception {
        VeraGreenfieldFoundryProvider.initialise();
        for (String name : names) {
            var foundry = Foundries.defaultInstance();
            try (var parser = foundry.createParser(new FileInputStream(name), PDFAFlavour.PDFUA_1)) {
                var found = foundry.createValidator(PDFAFlavour.PDFUA_1, false).validate(parser);
                System.out.println(name + " " + found.isCompliant() + " " + found.getTotalAssertions());
                found.getTestAssertions().stream().limit(20)
                    .forEach(rule -> System.out.println("  " + rule.getRuleId() + " " + rule.getMessage()));
            }
        }
    }
}
